#ifndef REPORT_H
#define REPORT_H

#include <stddef.h>
#include <stdint.h>

void report_set_command_line(const char *text);
size_t report(uint32_t which, char *buffer, size_t size);

#endif
