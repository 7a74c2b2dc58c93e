from centernet.inference.prediction import DetectedObject
from centernet.inference.video.mot_file import mot_row


def test_frames_pixels_and_classes_count_from_1():
    one = DetectedObject("dog", 1, 0.87654, [10.0, 20.5, 40.25, 61.5], track=12)
    assert mot_row(0, one) == "1,12,11.00,21.50,30.25,41.00,0.8765,2,-1,-1\n"
