// A bundle folder: manifest, labels and thresholds, and from a model's outputs to an answer.
// C++17; JSON by nlohmann-json3-dev, pictures by libstb-dev. Hashes are not compared here: run
// `edge-fgir verify BUNDLE` where the bundle comes from.
#pragma once

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>
#define STB_IMAGE_IMPLEMENTATION
#define STBI_FAILURE_USERMSG
#include <stb/stb_image.h>

#include "preprocess.hpp"

namespace edge_fgir {

struct Answer {
    std::string label;
    float score;
    bool is_unknown;
};

class Bundle {
public:
    Bundle(const std::string& folder, const std::string& runtime) : folder_(folder) {
        manifest_ = json("manifest.json");
        if (manifest_.at("runtime") != runtime) throw std::runtime_error(folder + " is not for " + runtime);
        // In the second, too, what the first of several variants needs lies where it always did.
        const std::string schema = manifest_.at("schema");
        if (schema != "edge-fgir/bundle/1" && schema != "edge-fgir/bundle/2")
            throw std::runtime_error(folder + " has another schema");
        std::ifstream lines = file("labels.txt");
        for (std::string line; std::getline(lines, line);) labels_.push_back(line);
        const nlohmann::json settings = json("preprocess.json");
        for (const auto& [key, value] : settings.items()) {
            if (key == "size") settings_.size = value;
            else if (key == "kernel") settings_.kernel = value;
            else if (key == "antialias") settings_.antialias = value;
            else if (key == "crop_fraction") settings_.crop_fraction = value;
            else if (key == "shrink") settings_.shrink = value;
            else if (key == "view_size") settings_.view_size = value;
            else throw std::runtime_error("preprocess.json has an unknown key " + key);
        }
        threshold_ = json("calibration.json").at("unknown_threshold");
        if (manifest_.contains("features") && std::ifstream(folder + "/novelty.json")) {
            most_novelty_ = json("novelty.json").at("threshold");
            read_space();
        }
    }

    std::string model() const { return folder_ + "/" + manifest_.at("model_file").get<std::string>(); }
    std::string input() const { return manifest_.at("input").at("name"); }
    int size() const { return settings_.size; }
    size_t classes() const { return labels_.size(); }

    // Of the model's outputs: the probabilities, and the features where the bundle knows what is new to it.
    std::vector<std::string> outputs() const {
        std::vector<std::string> names{manifest_.at("output").at("name")};
        if (most_novelty_) names.push_back(manifest_.at("features").at("output"));
        return names;
    }

    // Reads an upright picture of 8 bits a channel as the model's input.
    Bytes read(const std::string& path) const {
        Picture picture{};
        const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
            stbi_load(path.c_str(), &picture.width, &picture.height, nullptr, 3), stbi_image_free);
        if (!pixels) throw std::runtime_error(path + ": " + stbi_failure_reason());
        picture.pixels.assign(pixels.get(), pixels.get() + size_t(picture.width) * picture.height * 3);
        return preprocess(picture, settings_);
    }

    Answer answer(const float* probabilities, const float* features) const {
        const size_t best = std::max_element(probabilities, probabilities + classes()) - probabilities;
        const bool is_new = most_novelty_ && novelty(features) > *most_novelty_;
        return {labels_[best], probabilities[best], probabilities[best] < threshold_ || is_new};
    }

private:
    std::ifstream file(const std::string& name) const {
        std::ifstream stream(folder_ + "/" + name, std::ios::binary);
        if (!stream) throw std::runtime_error(folder_ + "/" + name + " cannot be read");
        return stream;
    }

    nlohmann::json json(const std::string& name) const { return nlohmann::json::parse(file(name)); }

    // novelty.npy, float16: a row for the centre of known features, and one for each axis along which they vary.
    void read_space() {
        std::ifstream stream = file("novelty.npy");
        const std::string text{std::istreambuf_iterator<char>(stream), {}};
        const auto byte = [&](size_t at) { return size_t(uint8_t(text.at(at))); };
        size_t at = byte(6) == 1 ? 10 + byte(8) + (byte(9) << 8)
                                 : 12 + byte(8) + (byte(9) << 8) + (byte(10) << 16) + (byte(11) << 24);
        std::vector<float> values;
        for (; at + 1 < text.size(); at += 2) {
            const int bits = int(byte(at) | byte(at + 1) << 8), exponent = bits >> 10 & 31, fraction = bits & 1023;
            const double value = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
            values.push_back(float(bits & 0x8000 ? -value : value));
        }
        const size_t columns = manifest_.at("features").at("size"), rows = values.size() / columns;
        const bool by_column = text.find("'fortran_order': True") < text.find('\n');
        for (size_t i = 0; i < rows * columns; i++)
            space_.push_back(by_column ? values[i % columns * rows + i / columns] : values[i]);
    }

    // The share of the features' length that lies outside of the space: docs/unknown.md.
    double novelty(const float* features) const {
        const size_t size = manifest_.at("features").at("size");
        double apart = 0, along = 0, length = 0;
        for (size_t i = 0; i < size; i++) {
            apart += std::pow(double(features[i]) - space_[i], 2);
            length += std::pow(double(features[i]), 2);
        }
        for (size_t axis = size; axis < space_.size(); axis += size) {
            double sum = 0;
            for (size_t i = 0; i < size; i++) sum += (double(features[i]) - space_[i]) * space_[axis + i];
            along += sum * sum;
        }
        return std::min(std::sqrt(std::max(apart - along, 0.0) / std::max(length, 1e-12)), 10.0);
    }

    std::string folder_;
    nlohmann::json manifest_;
    std::vector<std::string> labels_;
    Preprocess settings_{};
    double threshold_ = 0;
    std::optional<double> most_novelty_;
    std::vector<float> space_;
};

// Prints what `classify` says of each picture that the command line names: a line of JSON a picture.
template <typename Classify>
int answer_all(int count, char** words, const Classify& classify) {
    for (int at = 2; at < count; at++) {
        const Answer answer = classify(words[at]);
        const nlohmann::ordered_json line{
            {"file", words[at]}, {"label", answer.label}, {"score", answer.score}, {"is_unknown", answer.is_unknown}};
        std::puts(line.dump().c_str());
    }
    return 0;
}

}  // namespace edge_fgir
