"""Hypothesis strategies for the words of `helixflow.inference`: any value that can travel."""

from __future__ import annotations

from hypothesis import strategies as st

from helixflow.errors import Refusal, Refused
from helixflow.ids import KeyId, OrganizationId, ProjectId, RequestId
from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.load import Load
from helixflow.inference.model_spec import (
    EchoPace,
    EngineKind,
    FairShares,
    ModelSource,
    ModelSpec,
    Price,
    Replicas,
    Resources,
    SourceKind,
)
from helixflow.inference.principal import Keeping, Principal
from helixflow.inference.quota import LimitName, Quota, Scope, ServiceClass, Share
from helixflow.inference.request import EngineRequest, Operation
from helixflow.inference.usage import Usage

_texts = st.text(max_size=20)
_names = st.text("abcdefgh-.123", min_size=1, max_size=8)
_counts = st.integers(0, 2**40)
_amounts = st.floats(0, 1e9, allow_nan=False)
_shares = st.floats(0, 1)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)

refusals: st.SearchStrategy[Refused] = st.builds(
    Refused.from_wire,
    st.tuples(
        st.sampled_from([reason.value for reason in Refusal]),
        _texts,
        st.none() | _texts,
        st.none() | _amounts,
    ),
)
usages = st.builds(Usage, _counts, _counts, _counts)
loads = st.builds(Load, _counts, _counts, _shares)
sidecars = st.builds(Sidecar, usages, _texts, loads, st.none() | refusals)
frames = st.builds(Frame, st.binary(max_size=40), st.none() | sidecars)
principals = st.builds(
    Principal,
    _texts.map(OrganizationId),
    _texts.map(ProjectId),
    _texts.map(KeyId),
    _texts,
    st.frozensets(_texts, max_size=4),
    st.none() | st.frozensets(_texts, max_size=4),
    _texts,
    st.frozensets(_texts, max_size=4),
    _texts,
    st.lists(
        st.builds(
            Quota,
            st.sampled_from(LimitName),
            st.lists(st.sampled_from(Scope), max_size=2).map(tuple),
            _counts,
            st.booleans(),
            _names,
        ),
        max_size=3,
    ).map(tuple),
    st.builds(Share, _amounts, st.sampled_from(ServiceClass)),
    st.none() | st.builds(Keeping, _counts, _counts),
)
engine_requests = st.builds(
    EngineRequest,
    _texts.map(RequestId),
    st.sampled_from(Operation),
    st.binary(max_size=40),
    _names,
    st.booleans(),
    _texts,
    _amounts,
    _names,
    _amounts,
    st.sampled_from(ServiceClass),
    _counts,
    _counts,
)
model_specs = st.builds(
    ModelSpec,
    name=_names,
    engine=st.sampled_from(EngineKind),
    source=st.builds(ModelSource, st.sampled_from(SourceKind), _texts, _texts, _texts),
    aliases=st.lists(_texts, max_size=3).map(tuple),
    owner=_texts,
    region=_texts,
    data_class=_texts,
    context_tokens=_counts,
    sequences_max=_counts,
    queue_max=_counts,
    choices_max=_counts,
    logprobs_max=_counts,
    schema_bytes_max=_counts,
    engine_args=st.dictionaries(_texts, _json, max_size=3),
    replicas=st.builds(Replicas, _counts, _counts, _amounts),
    resources=st.builds(Resources, _amounts, st.none() | _amounts, _counts, _amounts),
    price=st.builds(Price, _amounts, _amounts, _amounts),
    echo=st.builds(EchoPace, _counts, _amounts),
    fair_queue=st.builds(FairShares, st.booleans(), _amounts, _amounts, _counts, _shares, _shares),
)
