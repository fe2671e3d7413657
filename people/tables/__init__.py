"""Tables of the room that are not the audit itself; `people.models` names them all."""
