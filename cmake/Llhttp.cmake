# Node's HTTP parser. Debian's node-llhttp carries its header and generated C sources; a wheel
# builder elsewhere points LLHTTP_ROOT at a folder with both.
find_path(LLHTTP_INCLUDE llhttp.h HINTS ${LLHTTP_ROOT} PATHS /usr/share/include/llhttp
          PATH_SUFFIXES include REQUIRED)
find_path(LLHTTP_SOURCE llhttp.c HINTS ${LLHTTP_ROOT} PATHS /usr/share/llhttp PATH_SUFFIXES src REQUIRED)
add_library(llhttp STATIC ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c ${LLHTTP_SOURCE}/llhttp.c)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
