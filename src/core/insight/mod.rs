//! Questions over recorded history.
