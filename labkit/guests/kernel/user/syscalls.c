/* syscalls N: what one getpid costs through each door, in cycles of the time-stamp counter. */
#include "user.h"

#include "../x86.h"

static void measure(const char *door, int (*call)(int number, ...), uint32_t n)
{
    uint64_t start = rdtsc();
    for (uint32_t i = 0; i < n; i++)
        call(SYS_GETPID);
    uint64_t cycles = rdtsc() - start;
    uint32_t hundredths = divide(cycles * 100, n);
    print("%-8s %u calls, %u.%02u cycles each\n", door, n, hundredths / 100, hundredths % 100);
}

int main(const char *arguments)
{
    uint32_t n = number(arguments, 1000);
    if (!n)
        return 1;
    measure("INT 80h", system_call, n);
    if (has_sysenter())
        measure("SYSENTER", system_call_fast, n);
    else
        print("SYSENTER not offered by this processor\n");
    return 0;
}
