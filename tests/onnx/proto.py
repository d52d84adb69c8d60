"""proto.py SET: compares a descriptor set of src/onnx/onnx.proto with the descriptors of the PyPI package onnx. Every
message, field and enum value of ours must be there with the same number, type and label; Weft's own field is the one
exception. Prints the differences; also data types and attribute types that ONNX has and Weft does not know."""
import pathlib
import sys

from google.protobuf import descriptor_pb2
from onnx import onnx_data_pb2, onnx_ml_pb2

OWN = {("TensorProto", "payload")}


def messages(found, prefix=""):
    for message in found:
        yield prefix + message.name, message
        yield from messages(message.nested_type, f"{prefix}{message.name}.")


def file_of(module):
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def describe(field):
    return (field.number, field.type, field.label, field.type_name.rpartition(".")[2], field.options.packed)


def compare_enum(name, ours, theirs):
    known = {value.name: value.number for value in theirs.value}
    for value in ours.value:
        if known.get(value.name) != value.number:
            yield f"{name}.{value.name} = {value.number}, expected {known.get(value.name)}"


def compare_message(name, ours, theirs):
    known = {field.name: field for field in theirs.field}
    for field in ours.field:
        if (name, field.name) in OWN:
            if field.number in {other.number for other in theirs.field}:
                yield f"{name}.{field.name}: ONNX uses the number {field.number}"
        elif field.name not in known:
            yield f"{name}.{field.name} is not in ONNX"
        elif describe(field) != describe(known[field.name]):
            yield f"{name}.{field.name} is {describe(field)}, expected {describe(known[field.name])}"
        elif field.HasField("oneof_index") != known[field.name].HasField("oneof_index"):
            yield f"{name}.{field.name}: only one of the two is in a oneof"
    enums = {enum.name: enum for enum in theirs.enum_type}
    for enum in ours.enum_type:
        yield from compare_enum(f"{name}.{enum.name}", enum, enums[enum.name])


def differences(path):
    ours = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(path).read_bytes()).file[0]
    theirs = dict(messages(list(file_of(onnx_ml_pb2).message_type) + list(file_of(onnx_data_pb2).message_type)))
    for name, message in messages(ours.message_type):
        if name not in theirs:
            yield f"{name} is not in ONNX"
        else:
            yield from compare_message(name, message, theirs[name])
    for name, number in onnx_ml_pb2.TensorProto.DataType.items():
        if number > 28:
            yield f"TensorProto.DataType.{name} = {number} is new"
    for name, number in onnx_ml_pb2.AttributeProto.AttributeType.items():
        if number > 14:
            yield f"AttributeProto.AttributeType.{name} = {number} is new"


found = list(differences(sys.argv[1]))
print("\n".join(found))
sys.exit(1 if found else 0)
