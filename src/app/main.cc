#include "app/command_line.h"

int main(int argc, char** argv) { return penstock::app::Run(argc, argv); }
