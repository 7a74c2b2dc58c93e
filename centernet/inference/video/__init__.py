"""What ``detect`` does with the frames of videos, beyond single images."""
