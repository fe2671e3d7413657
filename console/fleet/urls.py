from django.urls import URLPattern, URLResolver, path

from console.fleet import orders, views

app_name = "fleet"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.fleet, name="list"),
    path("top/", views.top, name="top"),
    path("day/", views.day, name="day"),
    path("rows/", views.rows, name="rows"),
    path("export.csv", views.export, name="export"),
    path("peek/<int:plant_id>/", views.peek, name="peek"),
    path("emergency/", orders.ask, name="emergency"),
    path("emergencies/", orders.orders, name="orders"),
    path("emergencies/<int:order_id>/", orders.order, name="order"),
    path("emergencies/<int:order_id>/release/", orders.release, name="release"),
]
