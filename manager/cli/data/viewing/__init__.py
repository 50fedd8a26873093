"""What ``manager-cli tail`` shows, and how."""
