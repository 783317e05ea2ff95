"""Where the gateway's time goes."""
