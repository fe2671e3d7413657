"""Signing in, a person's own page, the organisation's people, and the audit."""

from django.urls import path

from console.account import audit_views, door_views, factor_views, own_views, people_views

app_name = "account"
urlpatterns = [
    path("login/", door_views.sign_in, name="login"),
    path("login/code/", door_views.code, name="code"),
    path("login/welcome/", door_views.welcome, name="welcome"),
    path("logout/", door_views.sign_out, name="logout"),
    path("link/<str:secret>/", door_views.one_time_link, name="link"),
    path("choose/", door_views.choose, name="choose"),
    path("account/", own_views.own, name="own"),
    path("account/theme/", own_views.theme, name="theme"),
    path("account/password/", own_views.password, name="password"),
    path("account/sessions/", own_views.end_session, name="end_session"),
    path("account/acts/", audit_views.own_acts, name="acts"),
    path("account/second-factor/", factor_views.second_factor, name="second_factor"),
    path("account/second-factor/start/", factor_views.start, name="factor_start"),
    path("account/second-factor/confirm/", factor_views.confirm, name="factor_confirm"),
    path("account/second-factor/remove/", factor_views.remove, name="factor_remove"),
    path("account/second-factor/codes/", factor_views.new_codes, name="factor_codes"),
    path("people/", people_views.people, name="people"),
    path("people/invite/", people_views.invite_person, name="invite"),
    path("people/invitations/<int:link_id>/withdraw/", people_views.withdraw, name="withdraw"),
    path("people/<int:person_id>/", people_views.person, name="person"),
    path("people/<int:person_id>/<slug:act>/", people_views.change, name="change"),
    path("audit/", audit_views.everybody, name="audit"),
    path("audit/export/", audit_views.export_csv, name="audit_export"),
]
