#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdint.h>

struct program_file {
    const char *name;
    const uint8_t *bytes;
};

extern const struct program_file program_files[]; /* ends with a null name */

#endif
