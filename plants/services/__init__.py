"""The only writers of this room's tables; keyword-only, `at` comes from the caller's clock."""
