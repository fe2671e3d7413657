"""URL map: the admin, health, and the reverse channel under any prefix."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("trading_api.urls")),
]
