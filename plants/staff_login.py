"""Who may enter the admin: staff of the installation (`esm.middleware.AdminIsForStaffMiddleware` holds to it)."""

STAFF_RULE = (
    "Staff of this installation see every organisation, so a person of an organisation can't be staff."
)
