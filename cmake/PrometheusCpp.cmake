# prometheus-cpp's core: the text form of metrics. Its own CMake package wants the libraries of its
# other parts (civetweb, curl), which we do not use.
find_library(PROMETHEUS_CPP_CORE prometheus-cpp-core REQUIRED)
find_path(PROMETHEUS_CPP_INCLUDE prometheus/text_serializer.h REQUIRED)
add_library(prometheus_text UNKNOWN IMPORTED)
set_target_properties(prometheus_text PROPERTIES
  IMPORTED_LOCATION ${PROMETHEUS_CPP_CORE}
  INTERFACE_INCLUDE_DIRECTORIES ${PROMETHEUS_CPP_INCLUDE})
