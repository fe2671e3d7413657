from django.urls import URLPattern, URLResolver, path

from console.alarms import acts, views

app_name = "alarms"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.inbox, name="list"),
    path("changed/", views.changed, name="changed"),
    path("close-cleared/", acts.close_cleared, name="close_cleared"),
    path("<int:case_id>/", views.case, name="case"),
    path("<int:case_id>/chart/", views.chart, name="chart"),
    path("<int:case_id>/acknowledge/", acts.acknowledge_it, name="acknowledge"),
    path("<int:case_id>/take-back/", acts.take_it_back, name="take_back"),
    path("<int:case_id>/assign/", acts.assign_it, name="assign"),
    path("<int:case_id>/comment/", acts.comment_on_it, name="comment"),
    path("<int:case_id>/close/", acts.close_it, name="close"),
    path("<int:case_id>/reopen/", acts.reopen_it, name="reopen"),
]
