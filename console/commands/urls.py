from django.urls import URLPattern, URLResolver

app_name = "commands"
urlpatterns: list[URLPattern | URLResolver] = []
