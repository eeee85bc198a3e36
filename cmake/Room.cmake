# A room is a folder of src/: one static library, one test program, fuzzers and benchmarks.
#
#   penstock_room(NAME DEPENDS targets... [LIBRARIES targets...])
#   penstock_pure_room(NAME)        its sources join penstock_core, which sees the API only
#
# Files are found by name, so that a new one needs no line here: x.cc is the room's, x_test.cc
# goes into ROOM_test, x_fuzz.cc and x_bench.cc each become a program.

add_library(penstock_core STATIC)
target_include_directories(penstock_core PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(penstock_core PUBLIC nlohmann_json::nlohmann_json PRIVATE penstock_warnings)
add_custom_target(penstock_benchmarks)
add_custom_target(penstock_fuzzers)

function(penstock_sources room out_sources out_tests)
  file(GLOB all CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${room}/*.cc)
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cc$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(${out_sources} ${sources} PARENT_SCOPE)
  set(${out_tests} ${tests} PARENT_SCOPE)
endfunction()

function(penstock_extras room library)
  string(REPLACE "/" "_" flat ${room})
  penstock_sources(${room} sources tests)
  if(PENSTOCK_BUILD_TESTS AND tests)
    add_executable(${flat}_test ${tests})
    target_link_libraries(${flat}_test PRIVATE ${library} GTest::gmock GTest::gtest_main
                          rapidcheck penstock_warnings)
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
      target_link_libraries(${name} PRIVATE ${library} penstock_warnings)
      target_link_options(${name} PRIVATE -fsanitize=fuzzer)
      add_dependencies(penstock_fuzzers ${name})
    endforeach()
  endif()
endfunction()

function(penstock_room room)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES;PURE" ${ARGN})
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
  penstock_extras(${room} penstock_${flat})
endfunction()

function(penstock_pure_room room)
  penstock_sources(${room} sources tests)
  target_sources(penstock_core PRIVATE ${sources})
  penstock_extras(${room} penstock_core)
endfunction()
