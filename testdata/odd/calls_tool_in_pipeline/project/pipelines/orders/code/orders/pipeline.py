import urllib.request


def main():
    urllib.request.urlopen("https://app.prophecy.io/api/done")
