#pragma once
#include <cstdint>

/** The constants of ITU-T G.722, clause 6. Data only: included by files compiled for different instruction
 * sets. */
namespace sidetone::g722 {

/** Impulse response of the mirror filters (table 11); symmetric. */
inline constexpr int16_t kMirror[24] = {3,    -11, -11,  53,   12,  -156, 32,   362, -210, -805, 951, 3876,
                                        3876, 951, -805, -210, 362, 32,   -156, 12,  53,   -11,  -11, 3};

/** Decision levels of the lower band's 6-bit quantiser (Q6, table 14), and zeros to fill 32. */
inline constexpr uint16_t kDecision[32] = {35,   72,   110,  150,  190,  233,  276,  323,  370,  422,  473,
                                           530,  587,  650,  714,  786,  858,  940,  1023, 1121, 1219, 1339,
                                           1458, 1612, 1765, 1980, 2195, 2557, 2919, 0,    0,    0};
inline constexpr uint32_t kDecisions = 29;
/** The code by the number of decision levels reached (MIL - 1, table 17). */
inline constexpr uint8_t kCodePositive[32] = {61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47,
                                              46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32};
inline constexpr uint8_t kCodeNegative[32] = {63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
                                              18, 17, 16, 15, 14, 13, 12, 11, 10, 9,  8,  7,  6,  5,  4};
/** Decision level of the higher band's quantiser (Q2). */
inline constexpr int32_t kDecisionHigh = 564;

/** Quantised differences relative to the scale, by code: 4, 5 and 6 bits of the lower band, 2 of the higher.
 */
inline constexpr int16_t kDifference4[16] = {0,     -20456, -12896, -8968, -6288, -4240, -2584, -1200,
                                             20456, 12896,  8968,   6288,  4240,  2584,  1200,  0};
inline constexpr int16_t kDifference5[32] = {-280,  -280,  -23352, -17560, -14120, -11664, -9752, -8184,
                                             -6864, -5712, -4696,  -3784,  -2960,  -2208,  -1520, -880,
                                             23352, 17560, 14120,  11664,  9752,   8184,   6864,  5712,
                                             4696,  3784,  2960,   2208,   1520,   880,    280,   -280};
inline constexpr int16_t kDifference6[64] = {
    -136,  -136,  -136,  -136,  -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576,  -6000,  -5456,  -4944,  -4464,  -4008,  -3576,  -3168,  -2776,
    -2400, -2032, -1688, -1360, -1040,  -728,   24808,  21904,  19008,  16704,  14984,  13512,  12280,
    11192, 10232, 9360,  8576,  7856,   7192,   6576,   6000,   5456,   4944,   4464,   4008,   3576,
    3168,  2776,  2400,  2032,  1688,   1360,   1040,   728,    432,    136,    -432,   -136};
inline constexpr int16_t kDifference2[4] = {-7408, -1616, 7408, 1616};

/** Change of the log scale by the code's upper 4 bits (W_L by way of RL4) and by the higher band's code (W_H,
 * RH2). */
inline constexpr int16_t kLogStep4[16] = {-60,  3042, 1198, 538, 334, 172, 58,  -30,
                                          3042, 1198, 538,  334, 172, 58,  -30, -60};
inline constexpr int16_t kLogStep2[4] = {798, -214, 798, -214};
inline constexpr int32_t kLogScaleMaxLow = 18432;
inline constexpr int32_t kLogScaleMaxHigh = 22528;
inline constexpr int16_t kScaleMinLow = 32;
inline constexpr int16_t kScaleMinHigh = 8;

/** The linear scale is mantissa >> (exponent - (logScale >> 11)) << 2. */
inline constexpr int32_t kExponentLow = 8;
inline constexpr int32_t kExponentHigh = 10;
/** 2^(1 + i/32) * 1024: the mantissa of the linear scale (ILB). */
inline constexpr int16_t kMantissa[32] = {2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543,
                                          2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158, 3228,
                                          3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008};

}  // namespace sidetone::g722
