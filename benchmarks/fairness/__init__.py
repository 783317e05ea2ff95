"""What two tenants are served when they contend for one replica."""
