"""Where frames come from: a camera, a network stream, a video file, a folder of pictures."""
