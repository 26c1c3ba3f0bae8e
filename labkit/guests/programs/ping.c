/* ping: asks 10.0.2.2 on an NE2000 for its address (ARP), for echoes (ICMP), and for a UDP echo at port 7.
 *
 *   Ethernet  to 6, from 6, kind 2   |   IP  20 bytes   |   ICMP  type, code, sum 2, id 2, sequence 2, data
 */
#include "ping.h"

#define SECOND 100
#define ARP 0x0806
#define IP 0x0800

static const uint8_t me[4] = {10, 0, 2, 15}, other[4] = {10, 0, 2, 2};
static uint8_t sent[LARGEST + 2], got[LARGEST + 2], host[6];

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t get16(const uint8_t *at)
{
    return 256u * at[0] + at[1];
}

static uint32_t sum(const uint8_t *data, uint32_t size)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i + 1 < size; i += 2)
        total += get16(data + i);
    if (size & 1)
        total += 256u * data[size - 1];
    while (total >> 16)
        total = (total & 0xFFFF) + (total >> 16);
    return total ^ 0xFFFF;
}

static uint8_t *ethernet(const uint8_t *to, uint32_t kind)
{
    memcpy(sent, to, 6);
    memcpy(sent + 6, station, 6);
    put16(sent + 12, kind);
    return sent + 14;
}

static void send_ip(uint32_t protocol, uint32_t size)
{
    uint8_t *ip = ethernet(host, IP);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, 20 + size);
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    memcpy(ip + 12, me, 4);
    memcpy(ip + 16, other, 4);
    put16(ip + 10, sum(ip, 20));
    card_send(sent, 34 + size < 60 ? 60 : 34 + size);
}

static bool resolve(void)
{
    static const uint8_t everybody[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    uint8_t *arp = ethernet(everybody, ARP);
    memset(arp, 0, 46);
    memcpy(arp, request, 8);
    memcpy(arp + 8, station, 6);
    memcpy(arp + 14, me, 4);
    memcpy(arp + 24, other, 4);
    card_send(sent, 60);
    while (card_receive(got, 2 * SECOND)) {
        if (get16(got + 12) == ARP && get16(got + 20) == 2 && !memcmp(got + 28, other, 4)) {
            memcpy(host, got + 22, 6);
            return true;
        }
    }
    return false;
}

/* Does an answer of this protocol come, with these bytes in the place of what was sent? */
static bool echoed(uint32_t protocol, uint32_t size)
{
    while (card_receive(got, SECOND)) {
        if (get16(got + 12) == IP && got[23] == protocol && get16(got + 16) == 20 + size && !memcmp(got + 26, other, 4))
            return !memcmp(got + 42, sent + 42, size - 8) && !sum(got + 14, 20);
    }
    return false;
}

static bool ping(uint32_t sequence, uint32_t size)
{
    uint8_t *icmp = sent + 34;
    memset(icmp, 0, 8);
    icmp[0] = 8;
    put16(icmp + 4, 0x1234);
    put16(icmp + 6, sequence);
    for (uint32_t i = 0; i < size; i++)
        icmp[8 + i] = (uint8_t)(i * 7 + sequence);
    put16(icmp + 2, sum(icmp, 8 + size));
    send_ip(1, 8 + size);
    return echoed(1, 8 + size) && got[34] == 0 && get16(got + 40) == sequence && !sum(got + 34, 8 + size);
}

static bool udp_echo(void)
{
    uint8_t *udp = sent + 34;
    put16(udp, 5000);
    put16(udp + 2, 7);
    put16(udp + 4, 8 + 26);
    put16(udp + 6, 0);
    for (uint32_t i = 0; i < 26; i++)
        udp[8 + i] = (uint8_t)('a' + i);
    send_ip(17, 8 + 26);
    return echoed(17, 8 + 26);
}

int main(void)
{
    static const uint32_t sizes[] = {0, 1, 56, 57, 1000, 1472};
    uint32_t answered = 0;
    check("the card is there", true, card_init());
    check("10.0.2.2 says where it is", true, resolve());
    print("10.0.2.2 is at");
    for (uint32_t i = 0; i < 6; i++)
        print(" %02x", host[i]);
    print("\n");
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        bool good = ping(i, sizes[i]);
        check("echo", true, good);
        print("%u bytes from 10.0.2.2, sequence %u\n", sizes[i], i);
    }
    for (uint32_t i = 0; i < 50; i++)
        answered += ping(100 + i, 700 + i);
    check("fifty echoes, several times round the ring", 50, answered);
    if (udp_echo())
        check("UDP echo", true, true);
    else
        skip("UDP echo", "nobody answers there");
    finish("ping");
}
