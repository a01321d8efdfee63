"""What listed classes can get at that looks dangerous, and why no config makes it so.

``tests/trust/test_known_classes.py`` finds such calls in the source; one that stands in none of
these tables keeps a class off the lists.
"""

# Language models come with tokenizers that are fetched. A deposit may have the backbones below.
UNLISTED_MODULES = ('.backbones.', '.multimodal.', '.language_models.')
# Of ``UpstreamBackbone``. None computes with numpy when it is made, or has buffers that no state
# dict has.
BACKBONES = {
    f'{library}.{name}'
    for library, names in dict(
        mmpretrain='ResNet ResNetV1c ResNetV1d ResNeXt SEResNet ResNet_CIFAR RegNet Res2Net HRNet '
        'MobileNetV2 MobileNetV3 VGG ConvNeXt PoolFormer VAN PCPVT SVT DaViT MViT '
        'SwinTransformer SwinTransformerV2 VisionTransformer DeiT3',
        mmdet='ResNet ResNetV1d ResNeXt RegNet Res2Net HRNet MobileNetV2',
        mmseg='ResNet ResNetV1c ResNetV1d ResNeXt HRNet MobileNetV2 MobileNetV3 '
        'MixVisionTransformer MSCAN PCPVT SVT SwinTransformer VisionTransformer',
        mmpose='ResNet ResNetV1d ResNeXt HRNet MobileNetV2',
    ).items()
    for name in names.split()
}

# Data sets and metrics open files: those of the rules for paths in ``mdl_nas_mm.trust.values``,
# local ones with endings that are read as data, and temporary ones of their own.
DATA_KINDS = ('dataset', 'metric')
DATA_CALLS = (
    *('load', 'mmengine.load', 'list_from_file', 'mmengine.list_from_file', 'get_local_path'),
    *('fileio.get_local_path', 'fileio.list_dir_or_file', 'get', 'get_text', 'open'),
    *('get_file_backend', 'mmengine.fileio.get_file_backend', 'COCO', 'COCOeval', 'loadmat'),
    *('self.coco.loadRes', 'self._coco_api.loadRes', 'coco.loadRes', 'ytvis.loadRes'),
    *('tempfile.TemporaryDirectory', 'tempfile.gettempdir', 'dump', 'mmcv.imread', 'os.listdir'),
    # Of numpy, without pickle.
    'np.load',
    # Processes of a metric's own.
    *('Pool', 'mp.Pool', 'multiprocessing.Pool', 'cpu_count', 'multiprocessing.cpu_count'),
    *('Process', 'Queue'),
    # What a metric writes lies where ``outfile_prefix`` and the like say, which stay empty.
    *('mkdir_or_exist', 'imwrite', 'mmcv.imwrite', 'mmengine.dump', 'zipfile.ZipFile'),
)

_METAINFO = 'metainfo has no from_file'
_IMAGES = 'images of a data set or of a call, with a local backend'
_TRACKED = 'samplers ask for the class of a data set; they build none'
AUDITED = {
    'mmcv.ops.nms.batched_nms: eval': 'its name is the type of a listed operator',
    **dict.fromkeys(
        (
            'mmdet.models.roi_heads.roi_extractors.generic_roi_extractor.GenericRoIExtractor: '
            'getattr(ops, layer_type)',
            'mmdet.models.roi_heads.roi_extractors.single_level_roi_extractor.SingleRoIExtractor: '
            'getattr(ops, layer_type)',
        ),
        'its name is the type of a listed operator',
    ),
    **dict.fromkeys(
        (
            'mmdet.evaluation.functional.class_names.get_classes: eval',
            'mmseg.utils.class_names.get_classes: eval',
        ),
        'of a fixed table of names',
    ),
    **dict.fromkeys(
        (
            'mmseg.models.losses.utils.get_class_weight: load',
            'mmseg.models.losses.utils.get_class_weight: np.load',
        ),
        'class_weight is numbers',
    ),
    'mmdet.models.task_modules.tracking.camera_motion_compensation.CameraMotionCompensation: '
    'eval': ('warp_mode is not to be given'),
    'mmpretrain.models.heads.margin_head.ArcFaceClsHead: list_from_file': 'margins are numbers',
    'mmpose.datasets.datasets.utils.parse_pose_metainfo: Config.fromfile': _METAINFO,
    'mmpose.datasets.datasets.utils.parse_pose_metainfo: mmengine.Config.fromfile': _METAINFO,
    **dict.fromkeys(
        (
            'mmcv.transforms.loading.LoadAnnotations: fileio.FileClient.infer_client',
            'mmcv.transforms.loading.LoadAnnotations: fileio.get',
            'mmcv.transforms.loading.LoadImageFromFile: fileio.FileClient.infer_client',
            'mmcv.transforms.loading.LoadImageFromFile: fileio.get',
            *(
                f'mmdet.datasets.transforms.loading.{name}: {call}'
                for name in (
                    'LoadAnnotations',
                    'LoadImageFromNDArray',
                    'LoadMultiChannelImageFromFiles',
                    'LoadPanopticAnnotations',
                    'LoadTrackAnnotations',
                )
                for call in ('fileio.FileClient.infer_client', 'fileio.get', 'get')
            ),
            'mmpose.datasets.transforms.loading.LoadImage: fileio.FileClient.infer_client',
            'mmpose.datasets.transforms.loading.LoadImage: fileio.get',
            *(
                f'mmseg.datasets.transforms.loading.{name}: {call}'
                for name in (
                    'LoadAnnotations',
                    'LoadDepthAnnotation',
                    'LoadImageFromNDArray',
                    'LoadImageFromNpyFile',
                )
                for call in ('fileio.FileClient.infer_client', 'fileio.get')
            ),
            # Without pickle.
            'mmseg.datasets.transforms.loading.LoadImageFromNpyFile: np.load',
        ),
        _IMAGES,
    ),
    **dict.fromkeys(
        (
            'mmseg.utils.io.datafrombytes: gzip.open',
            'mmseg.utils.io.datafrombytes: np.load',
            'mmseg.datasets.transforms.loading.LoadDepthAnnotation: fileio.get',
        ),
        'decode_backend is not to be given',
    ),
    **dict.fromkeys(
        (
            'mmdet.datasets.base_video_dataset.BaseVideoDataset: fileio.get_local_path',
            'mmdet.datasets.base_video_dataset.BaseVideoDataset: list_from_file',
            'mmdet.datasets.base_video_dataset.BaseVideoDataset: load',
            'mmengine.dataset.base_dataset.BaseDataset: list_from_file',
            'mmengine.dataset.base_dataset.BaseDataset: load',
            'mmengine.fileio.io.join_path: get_file_backend',
            'mmpose.datasets.dataset_wrappers.CombinedDataset: list_from_file',
            'mmpose.datasets.dataset_wrappers.CombinedDataset: load',
        ),
        _TRACKED,
    ),
    **dict.fromkeys(
        (
            'mmdet.evaluation.metrics.base_video_metric.collect_tracking_results_cpu: '
            'shutil.rmtree',
            'mmdet.evaluation.metrics.base_video_metric.collect_tracking_results_cpu: '
            'tempfile.mkdtemp',
            'mmdet.evaluation.metrics.mot_challenge_metric.get_tmpdir: tempfile.mkdtemp',
            'mmdet.evaluation.metrics.mot_challenge_metric.MOTChallengeMetric: os.makedirs',
            'mmdet.evaluation.metrics.mot_challenge_metric.MOTChallengeMetric: shutil.rmtree',
        ),
        'folders of their own',
    ),
}

AUDITED |= dict.fromkeys(
    (
        'mmseg.models.backbones.swin.SwinTransformer: CheckpointLoader.load_checkpoint',
        'mmseg.models.backbones.vit.VisionTransformer: CheckpointLoader.load_checkpoint',
        'mmseg.models.backbones.vit.VisionTransformer: load_state_dict',
    ),
    'a file that init_cfg would name, which is no part of a deposit',
)

_FOUND = 'a data set reads what it has found on the disk'
AUDITED |= {
    'mdl_nas_mm.scenes.encodings.read_array: fileio.get': _FOUND,
    'mdl_nas_mm.scenes.datasets.listing.Listing: os.scandir': _FOUND,
    'mdl_nas_mm.scenes.datasets.listing.images_below: os.walk': _FOUND,
    **{
        f'mdl_nas_mm.scenes.transforms.{name}: {call}': _IMAGES
        for name in ('clip.LoadClip', 'load.LoadSceneImage')
        for call in ('fileio.FileClient.infer_client', 'fileio.get')
    },
}

# Our backbones read files for ``arch`` and ``init_cfg`` alone, which are not to be given.
OWN_FILES = ('mdl_nas_mm.elastic.', 'mdl_nas_mm.spec.arch_source.', 'mdl_nas_mm.utils.')

# What upstream takes out of a config before a class gets it.
_NMS = ('class_agnostic', 'split_thr', 'max_num', 'iou_thr', 'iou_threshold', 'score_threshold')
BUILDER_KEYS: dict[str, tuple[str, ...]] = {
    'mmcv.nms': _NMS,
    'mmcv.soft_nms': _NMS,
    'mmdet.StageCascadeRPNHead': ('sampling',),
    'mmdet.CrossEntropyLoss': ('bg_cls_weight',),
    'mmcv.ConvTranspose2d': ('scale_factor', 'upsample_kernel'),
    'mmcv.CARAFEPack': ('upsample_kernel',),
    'torch.Upsample': ('upsample_kernel',),
}
