"""The reverse channel as an OpenAPI document: drf-spectacular over the real views, served at `…/trading/openapi.json`.

`operations` annotates the views, `forms` describes bodies, `document` builds the document, `view` serves it.
"""
