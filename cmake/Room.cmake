# A room is a folder of src/: one static library, one test program, fuzzers and benchmarks.
#
#   penstock_room(NAME DEPENDS targets... [LIBRARIES targets...] [PURE files...]
#                 [PRECOMPILE headers...])
#   penstock_pure_room(NAME)        its sources join penstock_core, which sees the API only
#
# Files are found by name, so that a new one needs no line here: x.cc is the room's, x_test.cc
# goes into ROOM_test, x_fuzz.cc and x_bench.cc each become a program.

add_library(penstock_core STATIC)
target_include_directories(penstock_core PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(penstock_core PUBLIC nlohmann_json::nlohmann_json PRIVATE penstock_warnings)
# Half of every compilation is these headers. Libraries (-fPIC) and programs (-fPIE) need a copy each.
if(PENSTOCK_PRECOMPILE)
  target_precompile_headers(penstock_core PRIVATE <nlohmann/json.hpp> <algorithm> <functional> <map>
                            <memory> <optional> <string> <vector>)
endif()
add_custom_target(penstock_benchmarks)
add_custom_target(penstock_fuzzers)

function(penstock_sources room out_sources out_tests)
  file(GLOB all CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*.cc)
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cc$|/main\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(${out_sources} ${sources} PARENT_SCOPE)
  set(${out_tests} ${tests} PARENT_SCOPE)
endfunction()

# What all test programs have in common. The tests' own code is not optimized beside a package that
# is: that would be half of a build. The first program makes their precompiled headers.
function(penstock_test_program name)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O0>)
  if(NOT PENSTOCK_PRECOMPILE)
    return()
  endif()
  get_property(owner GLOBAL PROPERTY PENSTOCK_TEST_HEADERS)
  if(owner)
    target_precompile_headers(${name} REUSE_FROM ${owner})
  else()
    target_precompile_headers(${name} PRIVATE <gmock/gmock.h> <gtest/gtest.h> <nlohmann/json.hpp>)
    set_property(GLOBAL PROPERTY PENSTOCK_TEST_HEADERS ${name})
  endif()
endfunction()

function(penstock_extras room library)
  string(REPLACE "/" "_" flat ${room})
  penstock_sources(${room} sources tests)
  if(PENSTOCK_BUILD_TESTS AND tests)
    add_executable(${flat}_test ${tests})
    target_link_libraries(${flat}_test PRIVATE ${library} GTest::gmock GTest::gtest_main
                          rapidcheck penstock_warnings)
    penstock_test_program(${flat}_test)
    gtest_discover_tests(${flat}_test DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${flat})
  endif()
  file(GLOB benches CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*_bench.cc)
  file(GLOB fuzzers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*_fuzz.cc)
  if(PENSTOCK_BUILD_BENCH)
    foreach(file ${benches})
      get_filename_component(name ${file} NAME_WE)
      add_executable(${name} ${file})
      target_link_libraries(${name} PRIVATE ${library} benchmark::benchmark_main penstock_warnings)
      add_dependencies(penstock_benchmarks ${name})
    endforeach()
  endif()
  if(PENSTOCK_BUILD_FUZZ)
    foreach(file ${fuzzers})
      get_filename_component(name ${file} NAME_WE)
      add_executable(${name} ${file})
      target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
      target_link_libraries(${name} PRIVATE ${library} penstock_warnings)
      target_link_options(${name} PRIVATE -fsanitize=fuzzer)
      add_dependencies(penstock_fuzzers ${name})
    endforeach()
  endif()
endfunction()

function(penstock_room room)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES;PURE;PRECOMPILE" ${ARGN})
  string(REPLACE "/" "_" flat ${room})
  penstock_sources(${room} sources tests)
  # Single pure files of a room that is not: they join the core, and the room sees them there.
  foreach(file ${ARG_PURE})
    target_sources(penstock_core PRIVATE ${PROJECT_SOURCE_DIR}/src/${room}/${file}.cc)
    list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/src/${room}/${file}.cc)
  endforeach()
  add_library(penstock_${flat} STATIC ${sources})
  target_link_libraries(penstock_${flat} PUBLIC penstock_core ${ARG_DEPENDS} ${ARG_LIBRARIES}
                        PRIVATE penstock_warnings)
  if(PENSTOCK_PRECOMPILE AND ARG_PRECOMPILE)
    target_precompile_headers(penstock_${flat} PRIVATE ${ARG_PRECOMPILE})
  elseif(PENSTOCK_PRECOMPILE)
    target_precompile_headers(penstock_${flat} REUSE_FROM penstock_core)
  endif()
  penstock_extras(${room} penstock_${flat})
endfunction()

function(penstock_pure_room room)
  penstock_sources(${room} sources tests)
  target_sources(penstock_core PRIVATE ${sources})
  penstock_extras(${room} penstock_core)
endfunction()
