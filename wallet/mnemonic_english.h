/* The English word list of BIP39; the place of a word is its bits. Read through mnemonic.h. */
#ifndef WALLET_MNEMONIC_ENGLISH_H
#define WALLET_MNEMONIC_ENGLISH_H

#define MNEMONIC_WORDS 2048
#define MNEMONIC_WORD_MAX 8 /* letters */

extern const char mnemonic_english[MNEMONIC_WORDS][MNEMONIC_WORD_MAX + 1];

#endif
