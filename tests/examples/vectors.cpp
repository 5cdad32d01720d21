// Asked by test_programs.py: cases on standard input (height, width, size, kernel, antialias,
// crop fraction, shrink, view size or 0), the model's input of the specification's picture on standard output.

#include <iostream>

#include "preprocess.hpp"

int main() {
    int height, width;
    edge_fgir::Preprocess settings;
    while (std::cin >> height >> width >> settings.size >> settings.kernel >> settings.antialias >>
           settings.crop_fraction >> settings.shrink >> settings.view_size) {
        edge_fgir::Picture picture{width, height, {}};
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                for (int c = 0; c < 3; c++)
                    picture.pixels.push_back(
                        (((3 * x * x + 5 * y * y + 7 * x * y + 9000 * c) >> 12) + ((13 * x + 29 * y + 71 * c) & (x ^ y))) & 255);
        const edge_fgir::Bytes made = edge_fgir::preprocess(picture, settings);
        std::cout.write(reinterpret_cast<const char*>(made.data()), static_cast<std::streamsize>(made.size()));
    }
}
