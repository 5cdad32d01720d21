// From a picture to the model's input, byte for byte as docs/preprocessing.md specifies it.
// C++17, the standard library alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "points.hpp"

namespace edge_fgir {

struct Preprocess {  // preprocess.json
    int size;
    std::string kernel = "bilinear";
    bool antialias = true;
    double crop_fraction = 1;
    std::string shrink = "kernel";
    int view_size = 0;  // of the picture between two steps; 0: one step
};

// Of one pixel: the first value that counts, and integers with 22 bits behind the point.
struct Weights { int first; std::vector<int64_t> values; };

inline double kernel_at(const std::string& kernel, double x) {
    x = std::fabs(x);
    if (kernel == "bilinear") return x < 1 ? 1 - x : 0;
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

// Along an axis of n values, of which `size` pixels are made between `from` and `to`.
inline std::vector<Weights> weights_of(int n, double from, double to, int size, const std::string& kernel) {
    const float low = float(from), length = float(to) - low;
    const double scale = double(length) / size, wide = std::max(scale, 1.0);
    const double support = (kernel == "bilinear" ? 1 : 2) * wide;
    std::vector<Weights> axis;
    for (int pixel = 0; pixel < size; pixel++) {
        const double centre = low + (pixel + 0.5) * scale;
        const int first = std::max(int(centre - support + 0.5), 0);
        const int last = std::min(int(centre + support + 0.5), n);
        std::vector<double> values;
        double sum = 0;
        for (int j = first; j < last; j++) {
            values.push_back(kernel_at(kernel, (j - centre + 0.5) * (1 / wide)));
            sum += values.back();
        }
        Weights weights{first, {}};
        for (double value : values)
            weights.values.push_back(int64_t(value / sum * (1 << 22) + (value < 0 ? -0.5 : 0.5)));
        axis.push_back(weights);
    }
    return axis;
}

// Resizes the middle axis of (outer, n, inner) bytes.
inline Bytes resized(const Bytes& pixels, int outer, int n, int inner, const std::vector<Weights>& axis) {
    Bytes result;
    result.reserve(outer * axis.size() * inner);
    for (int o = 0; o < outer; o++)
        for (const Weights& weights : axis)
            for (int i = 0; i < inner; i++) {
                int64_t sum = 1 << 21;
                const uint8_t* from = &pixels[(size_t(o) * n + weights.first) * inner + i];
                for (int64_t weight : weights.values) sum += weight * *from, from += inner;
                result.push_back(uint8_t(std::clamp<int64_t>(sum >> 22, 0, 255)));
            }
    return result;
}

// Means of blocks, rounded half up; beyond the picture its last line and column are repeated.
inline Picture block_means(const Picture& picture, int down, int across) {
    const int rows = (picture.height + down - 1) / down, columns = (picture.width + across - 1) / across;
    const int count = down * across;
    Picture means{columns, rows, {}};
    for (int at = 0; at < rows * columns * 3; at++) {
        const int row = at / 3 / columns, column = at / 3 % columns;
        int sum = count / 2;
        for (int y = row * down; y < (row + 1) * down; y++)
            for (int x = column * across; x < (column + 1) * across; x++) {
                const size_t line = std::min(y, picture.height - 1), place = std::min(x, picture.width - 1);
                sum += picture.pixels[3 * (line * picture.width + place) + at % 3];
            }
        means.pixels.push_back(uint8_t(sum / count));
    }
    return means;
}

inline Bytes cut(const Picture& picture, int start, int size) {
    Bytes result;
    for (int row = start; row < start + size; row++) {
        const auto from = picture.pixels.begin() + 3 * (size_t(row) * picture.width + start);
        result.insert(result.end(), from, from + 3 * size);
    }
    return result;
}

// Returns size * size * 3 bytes RGB.
inline Bytes preprocess(const Picture& picture, const Preprocess& settings) {
    if (settings.view_size) {
        if (!settings.antialias) throw std::runtime_error("the first of two steps needs antialias");
        Preprocess first = settings;
        first.size = settings.view_size, first.view_size = 0;
        return cubic_points(preprocess(picture, first), settings.view_size, settings.size);
    }
    const auto& [size, kernel, antialias, crop_fraction, shrink, view_size] = settings;
    const int side = int(std::nearbyint(size / crop_fraction)), start = (side - size) / 2;  // halves to even
    const int width = picture.width, height = picture.height;
    if (width == side && height == side) return cut(picture, start, size);
    if (!antialias && kernel != "bilinear") throw std::runtime_error("points are sampled bilinear only");
    if (!antialias) return cut(sampled(picture, side), start, size);
    if (shrink == "kernel") {
        Bytes narrow = resized(picture.pixels, height, width, 3, weights_of(width, 0, width, side, kernel));
        Bytes whole = resized(narrow, 1, height, 3 * side, weights_of(height, 0, height, side, kernel));
        return cut({side, side, whole}, start, size);
    }
    const auto block = [&](int n) { return std::min({16, 8 * n / (11 * side), n / (2 * side) + 1}); };
    const bool blocks = std::min(block(height), block(width)) > 1;
    const int down = blocks ? block(height) : 1, across = blocks ? block(width) : 1;
    const Picture means = blocks ? block_means(picture, down, across) : picture;
    const auto axis = [&](int n, int length, int of_block) {
        const double unit = double(side) * of_block;
        return weights_of(n, double(start) * length / unit, double(start + size) * length / unit, size, kernel);
    };
    const Bytes narrow = resized(means.pixels, means.height, means.width, 3, axis(means.width, width, across));
    return resized(narrow, 1, means.height, 3 * size, axis(means.height, height, down));
}

}  // namespace edge_fgir
