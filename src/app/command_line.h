// The `penstock` command.
#pragma once

namespace penstock::app {

// Does what the arguments say; returns the exit status.
int Run(int argc, char** argv);

}  // namespace penstock::app
