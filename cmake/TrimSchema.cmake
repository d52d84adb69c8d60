# Takes out of protoc-c's code the names that nothing reads, which linkers would keep because tables point to them: of
# messages all but the short one, of enumerations and their values all, and the order of fields by name.
# `cmake -DFILE=... -P` runs it.
file(READ ${FILE} text)
string(REGEX REPLACE "\"[^\"]*\",\n(  \"[A-Za-z]+\",\n)  \"[^\"]*\",\n  \"[^\"]*\"," "NULL,\n\\1  NULL,\n  NULL," text "${text}")
string(REGEX REPLACE "\n  [a-z_]+__field_indices_by_name," "\n  NULL," text "${text}")
string(REGEX REPLACE "(PROTOBUF_C_TYPE_ENUM,\n[^\n]*\n[^\n]*\n    )&[a-z_]+," "\\1NULL," text "${text}")
file(WRITE ${FILE} "${text}")
