"""Images and annotations: read, check, convert, augment, and turn into training samples."""
