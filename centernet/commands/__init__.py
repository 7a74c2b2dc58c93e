"""What each command says of itself and which options it takes; what it does is elsewhere."""
