// Pictures, and points that are sampled from them without antialias: docs/preprocessing.md.
// C++17, the standard library alone.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace edge_fgir {

using Bytes = std::vector<uint8_t>;

struct Picture {  // width * height * 3 bytes RGB, line by line
    int width, height;
    Bytes pixels;
};

// Without antialias: points are sampled between their four neighbours.
inline Picture sampled(const Picture& picture, int side) {
    Picture result{side, side, {}};
    const int height = picture.height, width = picture.width;
    for (int at = 0; at < 3 * side * side; at++) {
        const double y = (at / 3 / side + 0.5) * (double(height) / side) + 1.5;
        const double x = (at / 3 % side + 0.5) * (double(width) / side) + 1.5;
        const auto value = [&](int row, int column) {
            const size_t line = std::clamp(row, 0, height - 1), place = std::clamp(column, 0, width - 1);
            return double(picture.pixels[3 * (line * width + place) + at % 3]);
        };
        const int y0 = int(y) - 2, x0 = int(x) - 2;
        const auto mix = [](double a, double b, double part) { return a + (b - a) * (part - std::floor(part)); };
        const double upper = mix(value(y0, x0), value(y0, x0 + 1), x);
        const double lower = mix(value(y0 + 1, x0), value(y0 + 1, x0 + 1), x);
        result.pixels.push_back(uint8_t(mix(upper, lower, y)));
    }
    return result;
}

// Of one point: the four pixels that it is made of, and integers with 11 bits behind the point.
struct Taps { std::array<int, 4> places, weights; };

// Along an axis of v pixels: n points by a cubic kernel that does not widen.
inline std::vector<Taps> cubic_taps(int v, int n) {
    const auto kernel = [](double x) {
        return x < 1 ? (1.25 * x - 2.25) * x * x + 1 : ((-0.75 * x + 3.75) * x - 6) * x + 3;
    };
    std::vector<Taps> axis;
    for (int i = 0; i < n; i++) {
        const int twice = (2 * i + 1) * v - n, first = int(std::floor(twice / (2.0 * n)));
        const double share = (twice - first * 2 * n) / (2.0 * n);
        Taps taps;
        int rest = 1 << 11;
        for (int at = 0; at < 4; at++) {
            taps.places[at] = std::clamp(first + at - 1, 0, v - 1);
            taps.weights[at] = int(std::floor(kernel(std::fabs(share - (at - 1))) * (1 << 11) + 0.5));
            rest -= taps.weights[at];
        }
        taps.weights[1] += rest;
        axis.push_back(taps);
    }
    return axis;
}

// The second of two steps: n * n points of v * v pixels.
inline Bytes cubic_points(const Bytes& pixels, int v, int n) {
    const std::vector<Taps> axis = cubic_taps(v, n);
    Bytes result;
    for (int at = 0; at < 3 * n * n; at++) {
        const Taps &rows = axis[at / 3 / n], &columns = axis[at / 3 % n];
        int sum = 1 << 21;
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 4; x++)
                sum += rows.weights[y] * columns.weights[x] *
                       pixels[3 * (size_t(rows.places[y]) * v + columns.places[x]) + at % 3];
        result.push_back(uint8_t(std::clamp(sum >> 22, 0, 255)));
    }
    return result;
}

}  // namespace edge_fgir
