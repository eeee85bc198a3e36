# Generated code of .proto files, with the small runtime, linked statically: only the proxy needs it.
find_program(PROTOC protoc REQUIRED)
find_library(PROTOBUF_LITE NAMES libprotobuf-lite.a protobuf-lite REQUIRED)
find_path(PROTOBUF_INCLUDE google/protobuf/message_lite.h REQUIRED)

# penstock_messages(NAME FILE): a library of the messages of one file; #include <FILE's name.pb.h>.
function(penstock_messages name file)
  get_filename_component(stem ${file} NAME_WE)
  get_filename_component(folder ${file} DIRECTORY)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${stem}.pb)
  add_custom_command(
    OUTPUT ${out}.cc ${out}.h
    COMMAND ${PROTOC} -I ${folder} --cpp_out=${CMAKE_CURRENT_BINARY_DIR} ${file}
    DEPENDS ${file} VERBATIM)
  add_library(${name} STATIC ${out}.cc ${out}.h)
  target_include_directories(${name} SYSTEM PUBLIC ${CMAKE_CURRENT_BINARY_DIR} ${PROTOBUF_INCLUDE})
  target_link_libraries(${name} PUBLIC ${PROTOBUF_LITE} Threads::Threads)
endfunction()
