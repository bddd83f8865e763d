.PHONY: protos
protos:
	.venv/bin/python -m grpc_tools.protoc -Iprotos --python_out=protos --grpc_python_out=protos --mypy_out=protos --mypy_grpc_out=protos protos/bookmill/v1/*.proto
