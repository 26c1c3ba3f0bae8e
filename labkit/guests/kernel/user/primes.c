/* primes N: the sieve of Eratosthenes. Pure computing, and as many heap pages as N / 4096. */
#include "user.h"

int main(const char *arguments)
{
    uint32_t n = number(arguments, 10000), count = 0, largest = 0;
    uint8_t *composite = sbrk(n + 1); /* zeros, on demand */
    if (composite == (void *)-1) {
        print("primes: not so much memory\n");
        return 1;
    }
    for (uint32_t i = 2; i < n; i++) {
        if (composite[i])
            continue;
        count++;
        largest = i;
        for (uint32_t j = i * 2; j < n; j += i)
            composite[j] = 1;
    }
    print("%u primes below %u, the largest is %u\n", count, n, largest);
    return 0;
}
