from django.urls import URLPattern, URLResolver

app_name = "plant"
urlpatterns: list[URLPattern | URLResolver] = []
