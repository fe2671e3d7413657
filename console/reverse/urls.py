from django.urls import URLPattern, URLResolver

app_name = "reverse"
urlpatterns: list[URLPattern | URLResolver] = []
