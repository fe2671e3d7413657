"""The console's addresses: each screen has its own file; namespaces are `console:<screen>:<page>`."""

from django.urls import include, path
from django.views.generic import RedirectView

from console.finding import find
from console.live_view import live

app_name = "console"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="console:fleet:list"), name="home"),
    path("find/", find, name="find"),
    path("live/", live, name="live"),
    path("fleet/", include("console.fleet.urls")),
    path("plants/", include("console.plant.urls")),
    path("plants/", include("console.acting.urls")),
    path("", include("console.plans.urls")),
    path("commands/", include("console.commands.urls")),
    path("alarms/", include("console.alarms.urls")),
    path("reverse/", include("console.reverse.urls")),
    path("connections/", include("console.connect.urls")),
    path("", include("console.account.urls")),
    path("_kit/", include("console.kit.urls")),
]
