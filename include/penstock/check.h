// Aborts on the impossible: a breached invariant would hand one device to two replicas.
//
// For programming errors only. Anything that input, the network or the operating system can
// cause is a Status instead.
#pragma once

#include <cstdio>
#include <cstdlib>

// Active in every build: prints the condition and the place, then aborts.
#define PENSTOCK_CHECK(condition)                                                            \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: broken invariant: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
