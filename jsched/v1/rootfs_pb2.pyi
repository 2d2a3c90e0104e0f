import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Rootfs(_message.Message):
    __slots__ = ("name", "digest", "size", "entries", "uploaded_by", "uploaded_at", "job_ids")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    UPLOADED_BY_FIELD_NUMBER: _ClassVar[int]
    UPLOADED_AT_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    size: int
    entries: int
    uploaded_by: str
    uploaded_at: _timestamp_pb2.Timestamp
    job_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size: _Optional[int] = ..., entries: _Optional[int] = ..., uploaded_by: _Optional[str] = ..., uploaded_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RootfsUploadHeader(_message.Message):
    __slots__ = ("name", "digest", "size", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    size: int
    offset: int
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class UploadRootfsRequest(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: RootfsUploadHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[RootfsUploadHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class UploadRootfsResponse(_message.Message):
    __slots__ = ("rootfs",)
    ROOTFS_FIELD_NUMBER: _ClassVar[int]
    rootfs: Rootfs
    def __init__(self, rootfs: _Optional[_Union[Rootfs, _Mapping]] = ...) -> None: ...

class GetRootfsUploadRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class GetRootfsUploadResponse(_message.Message):
    __slots__ = ("offset", "complete")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    offset: int
    complete: bool
    def __init__(self, offset: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class ListRootfsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRootfsResponse(_message.Message):
    __slots__ = ("rootfs",)
    ROOTFS_FIELD_NUMBER: _ClassVar[int]
    rootfs: _containers.RepeatedCompositeFieldContainer[Rootfs]
    def __init__(self, rootfs: _Optional[_Iterable[_Union[Rootfs, _Mapping]]] = ...) -> None: ...

class DeleteRootfsRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteRootfsResponse(_message.Message):
    __slots__ = ("rootfs",)
    ROOTFS_FIELD_NUMBER: _ClassVar[int]
    rootfs: Rootfs
    def __init__(self, rootfs: _Optional[_Union[Rootfs, _Mapping]] = ...) -> None: ...
