#include "base/wif.h"

#include <string.h>

#include "base/base58.h"
#include "base/bytes.h"
#include "base/ec.h"
#include "base/err.h"

#define PLAIN_SIZE 33      /* version and key */
#define COMPRESSED_SIZE 34 /* and the mark */

void private_key_wipe(struct private_key *k) { secure_wipe(k, sizeof *k); }

enum wif_answer wif_decode(struct private_key *k, uint8_t version, const char *text)
{
    uint8_t data[COMPRESSED_SIZE];
    size_t len;
    memset(k, 0, sizeof *k);
    bool good = base58check_decode(data, sizeof data, text, &len) && len >= PLAIN_SIZE &&
                data[0] == version && (len == PLAIN_SIZE || data[PLAIN_SIZE] == 1);
    enum wif_answer answer = !good                       ? WIF_BAD_TEXT
                             : ec_seckey_valid(data + 1) ? WIF_OK
                                                         : WIF_BAD_KEY;
    if (answer == WIF_OK) {
        memcpy(k->secret, data + 1, sizeof k->secret);
        k->compressed = len == COMPRESSED_SIZE;
    }
    secure_wipe(data, sizeof data);
    return answer;
}

char *wif_encode(char out[WIF_TEXT_MAX], uint8_t version, const struct private_key *k)
{
    uint8_t data[COMPRESSED_SIZE] = { version };
    memcpy(data + 1, k->secret, sizeof k->secret);
    data[PLAIN_SIZE] = 1;
    const size_t len = k->compressed ? COMPRESSED_SIZE : PLAIN_SIZE;
    BUG_ON(!base58check_encode(out, WIF_TEXT_MAX, data, len));
    secure_wipe(data, sizeof data);
    return out;
}
