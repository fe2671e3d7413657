"""URL map: the console, the admin, and the reverse channel under any prefix.

Health is answered in `esm.health`, before any of it.
"""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

admin.autodiscover()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="console:home")),
    path("console/", include("console.urls")),
    # One sign-in for all pages: it asks for the second factor, and counts attempts.
    path(
        "admin/login/",
        RedirectView.as_view(pattern_name="console:account:login", query_string=True),
        name="admin-login",
    ),
    path("admin/", admin.site.urls),
    path("", include("trading_api.urls")),
]

handler400 = "esm.errors.bad_request"
handler403 = "esm.errors.permission_denied"
handler404 = "esm.errors.page_not_found"
handler500 = "esm.errors.server_error"
