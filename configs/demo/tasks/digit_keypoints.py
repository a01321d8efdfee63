"""The keypoints of a turned digit, as mmpose wants to know them: corners of its frame, centre."""

dataset_info = dict(
    dataset_name='digits',
    keypoint_info={
        0: dict(name='top_left', id=0, color=[230, 25, 75], type='upper', swap='top_right'),
        1: dict(name='top_right', id=1, color=[60, 180, 75], type='upper', swap='top_left'),
        2: dict(name='bottom_right', id=2, color=[255, 225, 25], type='lower', swap='bottom_left'),
        3: dict(name='bottom_left', id=3, color=[0, 130, 200], type='lower', swap='bottom_right'),
        4: dict(name='centre', id=4, color=[245, 130, 48], type='upper', swap=''),
    },
    skeleton_info={
        0: dict(link=('top_left', 'top_right'), id=0, color=[255, 255, 255]),
        1: dict(link=('top_right', 'bottom_right'), id=1, color=[255, 255, 255]),
        2: dict(link=('bottom_right', 'bottom_left'), id=2, color=[255, 255, 255]),
        3: dict(link=('bottom_left', 'top_left'), id=3, color=[255, 255, 255]),
    },
    joint_weights=[1.0, 1.0, 1.0, 1.0, 1.0],
    # About those of a person's shoulders, in COCO.
    sigmas=[0.08, 0.08, 0.08, 0.08, 0.08],
)
