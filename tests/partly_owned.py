"""A backbone with a layer whose specific weights some tasks own together."""

from mdl_nas_mm.elastic.layers import ElasticLinear
from mdl_nas_mm.families.vit import ElasticViT
from mdl_nas_mm.registry import MODELS

OWNERS = (('cls', 'seg'), ('det',))
LAYER = 'blocks.0.mlp.fc1'
TRUST = ('partly_owned.PartlyOwnedViT',)


@MODELS.register_module(force=True)
class PartlyOwnedViT(ElasticViT):
    """The first hidden layer is owned as ``owners`` says, whatever tasks are here."""

    def __init__(self, *args, owners=OWNERS, **kwargs):
        super().__init__(*args, **kwargs)
        mlp, columns = self.blocks[0].mlp, self.blocks[0].mlp.fc1.all_of('weight')[0].shape
        mlp.fc1 = ElasticLinear(
            columns[1], columns[0], self.sharing['ffn'], self.tasks, owners=owners
        )
