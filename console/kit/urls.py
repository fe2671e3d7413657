from django.urls import path

from console.kit.views import kit

app_name = "kit"
urlpatterns = [path("", kit, name="kit")]
