from django.urls import URLPattern, URLResolver

app_name = "acting"
urlpatterns: list[URLPattern | URLResolver] = []
